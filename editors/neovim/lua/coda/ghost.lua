--- Suggestions as ghost text of our own, for a Neovim without vim.lsp.inline_completion.
local Suggestion = require('coda.suggestion')
local lsp = require('coda.lsp')

local api = vim.api
local M = {}

M.name = 'own ghost text'

-- Long enough for a burst of keys; the server drops the older one of two requests itself.
local DEBOUNCE_MS = 75

local namespace = api.nvim_create_namespace('coda.ghost')
local group = api.nvim_create_augroup('coda.ghost', {})

---@class coda.GhostState
---@field client vim.lsp.Client
---@field suggestion? coda.Suggestion
---@field index integer the item that is shown
---@field request_id? integer
---@field timer uv.uv_timer_t

---@type table<integer, coda.GhostState>
local states = {}

local function hide(buf)
  if api.nvim_buf_is_valid(buf) then
    api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

--- The text without the end that stands after the cursor already, or, as a second value, true to draw over it.
local function without_replaced(rest, replaced)
  if replaced ~= '' and vim.endswith(rest, replaced) and not replaced:find('\n') then
    return rest:sub(1, #rest - #replaced), false
  end
  return rest, replaced ~= ''
end

--- Draw what is left of the item; false where nothing is.
local function show(buf)
  hide(buf)
  local state = states[buf]
  local rest, replaced
  if state.suggestion and vim.fn.pumvisible() == 0 then
    rest, replaced = state.suggestion:rest(state.index)
  end
  if not rest then
    return false
  end
  local text, over = rest, false
  if not rest:find('\n') then
    text, over = without_replaced(rest, replaced)
  end
  local tab = (' '):rep(vim.bo[buf].tabstop)
  local lines = {}
  for line in vim.gsplit(text, '\n', { plain = true }) do
    table.insert(lines, { { (line:gsub('\t', tab)), 'CodaSuggestion' } })
  end
  local cursor = api.nvim_win_get_cursor(0)
  api.nvim_buf_set_extmark(buf, namespace, cursor[1] - 1, cursor[2], {
    virt_text = lines[1],
    virt_lines = { unpack(lines, 2) },
    virt_text_pos = over and 'overlay' or 'inline',
    hl_mode = 'combine',
  })
  return true
end

local function cancel(state)
  state.timer:stop()
  if state.request_id then
    lsp.call(state.client, 'cancel_request', state.request_id)
    state.request_id = nil
  end
end

--- Ask for suggestions now.
---@param buf integer
---@param kind integer lsp.INVOKED or lsp.AUTOMATIC
function M.request(buf, kind)
  local state = states[buf]
  cancel(state)
  local unchanged = lsp.unchanged_since_now(buf)
  local params = lsp.inline_completion_params(state.client, kind)
  local _, id
  _, id = lsp.call(state.client, 'request', lsp.INLINE_COMPLETION, params, function(err, result)
    if states[buf] ~= state or state.request_id ~= id then
      return
    end
    state.request_id = nil
    if not err and unchanged() then
      state.suggestion, state.index = Suggestion.new(buf, result, state.client.offset_encoding), 1
      show(buf)
    end
  end, buf)
  state.request_id = id
end

--- After a key: keep what still agrees with the text, else ask anew.
local function follow(buf)
  if show(buf) then
    return
  end
  local state = states[buf]
  cancel(state)
  state.timer:start(
    DEBOUNCE_MS,
    0,
    vim.schedule_wrap(function()
      if states[buf] == state and api.nvim_get_current_buf() == buf and api.nvim_get_mode().mode:find('^i') then
        M.request(buf, lsp.AUTOMATIC)
      end
    end)
  )
end

---@param client vim.lsp.Client
---@param buf integer
function M.attach(client, buf)
  M.detach(buf)
  states[buf] = { client = client, index = 1, timer = assert(vim.uv.new_timer()) }
  api.nvim_set_hl(0, 'CodaSuggestion', { default = true, link = 'NonText' })
  api.nvim_create_autocmd({ 'InsertEnter', 'CursorMovedI', 'TextChangedI', 'CompleteChanged', 'CompleteDone' }, {
    group = group,
    buffer = buf,
    callback = function()
      follow(buf)
    end,
  })
  api.nvim_create_autocmd('InsertLeave', {
    group = group,
    buffer = buf,
    callback = function()
      M.dismiss(buf)
    end,
  })
end

---@param buf integer
function M.detach(buf)
  local state = states[buf]
  if not state then
    return
  end
  state.timer:close()
  hide(buf)
  states[buf] = nil
  api.nvim_clear_autocmds({ group = group, buffer = buf })
end

--- Is a suggestion on the screen?
---@param buf integer
---@return boolean
function M.shown(buf)
  return #api.nvim_buf_get_extmarks(buf, namespace, 0, -1, { limit = 1 }) > 0
end

---@param buf integer
---@param cut fun(rest: string): string
function M.accept(buf, cut)
  local state = states[buf]
  local item = state.suggestion.items[state.index]
  local whole, accepted = state.suggestion:accept(state.index, cut)
  if whole then
    state.suggestion = nil
  end
  lsp.tell_accepted(state.client, item, whole, accepted)
  follow(buf)
end

--- Show another candidate; where there is but one, ask for more.
---@param buf integer
---@param step integer 1 or -1
function M.select(buf, step)
  local state = states[buf]
  local count = state.suggestion and #state.suggestion.items or 0
  if count < 2 then
    return M.request(buf, lsp.INVOKED)
  end
  for _ = 1, count do
    state.index = (state.index - 1 + step) % count + 1
    if show(buf) then
      return
    end
  end
end

---@param buf integer
function M.dismiss(buf)
  local state = states[buf]
  cancel(state)
  state.suggestion = nil
  hide(buf)
end

return M
