--- The calls to a client that differ between the versions of Neovim, and the inline completion request.
local M = {}

M.INLINE_COMPLETION = 'textDocument/inlineCompletion'
M.INVOKED, M.AUTOMATIC = 1, 2
M.PARTIALLY_ACCEPTED = 'coda.partiallyAccepted'

-- From 0.11 on these are methods; before, they are functions that know their client.
local methods = vim.fn.has('nvim-0.11') == 1

---@param client vim.lsp.Client
---@param name 'request'|'notify'|'cancel_request'|'stop'|'is_stopped'
function M.call(client, name, ...)
  if methods then
    return client[name](client, ...)
  end
  return client[name](...)
end

--- Run one of the server's commands; `on_result` gets its result, errors are shown.
---@param client vim.lsp.Client
---@param command string
---@param arguments table[]
---@param on_result fun(result: any)
---@param buf integer
---@return integer? request_id
function M.execute(client, command, arguments, on_result, buf)
  local params = { command = command, arguments = arguments }
  local _, request_id = M.call(client, 'request', 'workspace/executeCommand', params, function(err, result)
    if err then
      vim.notify('CoDA: ' .. err.message, vim.log.levels.WARN)
      return
    end
    on_result(result)
  end, buf)
  return request_id
end

--- Tell the server that an item, or a piece of it, was put in place; it counts them (:CodaStats).
---@param client vim.lsp.Client
---@param item table an inline completion item; its command names the suggestion
---@param whole boolean
---@param accepted integer characters of it that are in the buffer now
function M.tell_accepted(client, item, whole, accepted)
  local command = item.command
  if not command then
    return
  end
  local function ignore() end
  if whole then
    M.execute(client, command.command, command.arguments or {}, ignore, 0)
    return
  end
  local suggestion = (command.arguments or {})[1]
  if type(suggestion) == 'table' and suggestion.id then
    M.execute(client, M.PARTIALLY_ACCEPTED, { { id = suggestion.id, length = accepted } }, ignore, 0)
  end
end

--- The parameters of a request for suggestions at the cursor of the current window.
---@param client vim.lsp.Client
---@param kind integer INVOKED or AUTOMATIC
---@return table
function M.inline_completion_params(client, kind)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = kind }
  return params
end

--- A check for whether an answer still is for what the user sees; made when the request is sent.
---@param buf integer
---@return fun(): boolean
function M.unchanged_since_now(buf)
  local tick = vim.api.nvim_buf_get_changedtick(buf)
  local cursor = vim.api.nvim_win_get_cursor(0)
  return function()
    return vim.api.nvim_buf_is_valid(buf)
      and vim.api.nvim_get_current_buf() == buf
      and vim.api.nvim_buf_get_changedtick(buf) == tick
      and vim.deep_equal(vim.api.nvim_win_get_cursor(0), cursor)
      and vim.startswith(vim.api.nvim_get_mode().mode, 'i')
  end
end

return M
