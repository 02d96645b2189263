--- Suggestions shown by vim.lsp.inline_completion (Neovim 0.12 and later).
---
--- Neovim draws them and decides when to ask. Its requests go through `client.request`, where this module cancels the
--- one before, marks those that the user asked for, drops answers to what is no longer there, and remembers the items:
--- so that what is accepted is what is on the screen, also after more keys.
local Suggestion = require('coda.suggestion')
local lsp = require('coda.lsp')

local api = vim.api
local M = {}

M.name = 'vim.lsp.inline_completion'

local group = api.nvim_create_augroup('coda.native', {})
local namespace = api.nvim_create_namespace('nvim.lsp.inline_completion')

---@class coda.NativeState
---@field client vim.lsp.Client
---@field suggestion? coda.Suggestion
---@field present? fun(err: any, result: any, ctx: any) Neovim's own handler
---@field request_id? integer
---@field invoke boolean the next request is one that the user asked for

---@type table<integer, coda.NativeState>
local states = {}
---@type table<integer, true> clients whose requests are watched
local watched = {}

--- The text on the screen; nil where there is none.
local function shown_text(buf)
  local mark = api.nvim_buf_get_extmarks(buf, namespace, 0, -1, { details = true, limit = 1 })[1]
  if not mark then
    return nil
  end
  local lines = { mark[4].virt_text or {}, unpack(mark[4].virt_lines or {}) }
  for number, chunks in ipairs(lines) do
    local texts = {}
    for _, chunk in ipairs(chunks) do
      if chunk[2] ~= 'ComplHintMore' then -- "(1/3)"
        table.insert(texts, chunk[1])
      end
    end
    lines[number] = table.concat(texts)
  end
  local text = table.concat(lines, '\n')
  return text ~= '' and text or nil
end

--- Which item is on the screen; nil where what is there agrees with the text no more.
local function shown_index(buf)
  local suggestion, text = states[buf] and states[buf].suggestion, shown_text(buf)
  if not suggestion or not text then
    return nil
  end
  local after = api.nvim_get_current_line():sub(api.nvim_win_get_cursor(0)[2] + 1)
  for index = 1, #suggestion.items do
    local rest = suggestion:rest(index)
    -- Neovim does not draw what the item has in common with the text after the cursor.
    if rest and vim.endswith(rest, text) and vim.startswith(after, rest:sub(1, #rest - #text)) then
      return index
    end
  end
end

local function hide_what_disagrees(buf)
  if shown_text(buf) and not shown_index(buf) then
    api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

--- Called with the first request for a buffer: then Neovim's own handlers, which draw, stand before these.
local function follow_typing(buf)
  api.nvim_clear_autocmds({ group = group, buffer = buf })
  api.nvim_create_autocmd({ 'CursorMovedI', 'TextChangedP' }, {
    group = group,
    buffer = buf,
    callback = function()
      hide_what_disagrees(buf)
    end,
  })
end

local function watch(client)
  if watched[client.id] then
    return
  end
  watched[client.id] = true
  local send = client.request
  ---@diagnostic disable-next-line: duplicate-set-field
  client.request = function(self, method, params, handler, buf)
    local state = buf and states[buf]
    if method ~= lsp.INLINE_COMPLETION or not state then
      return send(self, method, params, handler, buf)
    end
    if not state.present then
      follow_typing(buf)
    end
    if state.request_id then
      client:cancel_request(state.request_id)
    end
    if state.invoke then
      params.context.triggerKind = lsp.INVOKED
    end
    state.present, state.invoke = handler, false
    local unchanged = lsp.unchanged_since_now(buf)
    local sent, id
    sent, id = send(self, method, params, function(err, result, ctx)
      if states[buf] ~= state or state.request_id ~= id then
        return
      end
      state.request_id = nil
      if not err and unchanged() then
        state.suggestion = Suggestion.new(buf, result, client.offset_encoding)
        handler(nil, { items = state.suggestion and state.suggestion.items or {} }, ctx)
      end
    end, buf)
    state.request_id = id
    return sent, id
  end
end

--- Have Neovim forget what it shows.
local function abort(buf)
  local done = false
  local shows = vim.lsp.inline_completion.get({
    bufnr = buf,
    on_accept = function()
      done = true -- and nothing is returned: nothing is inserted
    end,
  })
  if shows then
    vim.wait(1000, function()
      return done
    end, 1)
  end
end

--- Have Neovim ask where insert mode began before the server was there: it asks by itself only after another key.
local function ask_if_inserting(buf)
  local inserting = api.nvim_get_current_buf() == buf and api.nvim_get_mode().mode:find('^i')
  if inserting and states[buf] and not states[buf].present then
    local theirs = ('nvim.lsp.inline_completion:%d'):format(buf)
    pcall(api.nvim_exec_autocmds, 'InsertEnter', { group = theirs, buffer = buf, modeline = false })
  end
end

---@param client vim.lsp.Client
---@param buf integer
function M.attach(client, buf)
  states[buf] = { client = client, invoke = false }
  watch(client)
  vim.lsp.inline_completion.enable(true, { bufnr = buf })
  -- Neovim gets ready after this, in a scheduled function of its own.
  vim.schedule(vim.schedule_wrap(function()
    ask_if_inserting(buf)
  end))
end

---@param buf integer
function M.detach(buf)
  states[buf] = nil
  api.nvim_clear_autocmds({ group = group, buffer = buf })
end

--- Is a suggestion on the screen?
---@param buf integer
---@return boolean
function M.shown(buf)
  return shown_index(buf) ~= nil
end

---@param buf integer
---@param cut fun(rest: string): string
function M.accept(buf, cut)
  local state, index = states[buf], shown_index(buf)
  local suggestion = state.suggestion
  if not index or not suggestion then
    return
  end
  local item = suggestion.items[index]
  abort(buf)
  local whole, accepted = suggestion:accept(index, cut)
  if not whole then
    table.insert(suggestion.items, 1, table.remove(suggestion.items, index))
    state.present(nil, { items = suggestion.items }, { client_id = state.client.id })
  end
  lsp.tell_accepted(state.client, item, whole, accepted)
end

--- Show another candidate; where there is but one, ask for more.
---@param buf integer
---@param step integer 1 or -1
function M.select(buf, step)
  local suggestion = states[buf].suggestion
  if not suggestion or #suggestion.items < 2 then
    return M.request(buf, lsp.INVOKED)
  end
  vim.lsp.inline_completion.select({ bufnr = buf, count = step })
  hide_what_disagrees(buf)
end

--- Ask for suggestions now.
---@param buf integer
---@param kind integer lsp.INVOKED or lsp.AUTOMATIC
function M.request(buf, kind)
  local state = states[buf]
  if not state.present then
    state.invoke = kind == lsp.INVOKED -- Neovim has not asked yet in this buffer; it will, soon after insert mode begins
    return
  end
  local params = lsp.inline_completion_params(state.client, kind)
  state.client:request(lsp.INLINE_COMPLETION, params, state.present, buf)
end

---@param buf integer
function M.dismiss(buf)
  abort(buf)
end

return M
