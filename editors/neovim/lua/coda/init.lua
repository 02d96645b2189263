--- CoDA for Neovim: suggestions that fill the hole under the cursor from both sides. See |coda|.
local client = require('coda.client')
local config = require('coda.config')
local cut = require('coda.cut')
local lsp = require('coda.lsp')
local status = require('coda.status')

local M = {}

---@param options? table see |coda-options|
function M.setup(options)
  if vim.fn.has('nvim-0.10') == 0 then
    error('coda: Neovim 0.10 or newer is needed.', 0)
  end
  config.set(options)
  client.enable()
end

local function current()
  local buf = vim.api.nvim_get_current_buf()
  return client.of(buf) and client.presenter() or nil, buf
end

--- Is a suggestion shown at the cursor?
---@return boolean
function M.shown()
  local presenter, buf = current()
  return presenter ~= nil and presenter.shown(buf)
end

local function accept(how_much)
  local presenter, buf = current()
  if not presenter or not presenter.shown(buf) then
    return false
  end
  presenter.accept(buf, how_much)
  return true
end

--- Put the suggestion in place; false where none is shown.
---@return boolean
function M.accept()
  return accept(cut.all)
end

--- Put its next word in place.
---@return boolean
function M.accept_word()
  return accept(cut.word)
end

--- Put its next line in place.
---@return boolean
function M.accept_line()
  return accept(cut.line)
end

local function with_presenter(name, ...)
  local presenter, buf = current()
  if presenter then
    presenter[name](buf, ...)
  end
end

--- Show the next candidate.
function M.next()
  with_presenter('select', 1)
end

--- Show the candidate before.
function M.previous()
  with_presenter('select', -1)
end

--- Hide the suggestion.
function M.dismiss()
  with_presenter('dismiss')
end

--- Ask for suggestions now, also where none appear by themselves.
function M.trigger()
  with_presenter('request', lsp.INVOKED)
end

--- What the server last said of itself: `state`, `message`, `model`, `device`.
---@return coda.Status
function M.status()
  return status.current
end

--- A word for the status line, such as "CoDA: ready".
---@return string
function M.statusline()
  return 'CoDA: ' .. status.current.state
end

--- Ask the server how it is, and show it.
function M.show_status()
  local server = client.current()
  if not server then
    vim.notify(status.line() .. ' See :checkhealth coda.')
    return
  end
  lsp.execute(server, 'coda.status', {}, function(result)
    status.on_notification(nil, result)
    vim.notify(status.line() .. '\nLast request: ' .. result.lastOutcome)
  end, 0)
end

M.restart = client.restart

return M
