--- The one client of this Neovim: where it starts, and how it starts anew.
local config = require('coda.config')
local keymaps = require('coda.keymaps')
local lsp = require('coda.lsp')
local status = require('coda.status')

local api = vim.api
local M = {}

local NAME = 'coda'
-- A server that has not ended by then, after it was asked to, is killed.
local STOP_TIMEOUT_MS = 3000

local group = api.nvim_create_augroup('coda.client', {})
local told_missing = false
local on_stopped = nil ---@type fun()?

--- How suggestions are shown: the same functions in either module.
function M.presenter()
  local native = config.options.native and vim.lsp.inline_completion ~= nil
  return native and require('coda.native') or require('coda.ghost')
end

--- The client that runs; nil where none does.
---@return vim.lsp.Client?
function M.current()
  for _, client in ipairs(vim.lsp.get_clients({ name = NAME })) do
    if not lsp.call(client, 'is_stopped') then
      return client
    end
  end
end

--- The client that serves a buffer; nil where none does.
---@param buf integer
---@return vim.lsp.Client?
function M.of(buf)
  local client = M.current()
  return client and client.attached_buffers[buf] and client or nil
end

--- The user may have stopped at a place while the model was loaded: then no key will ask for a suggestion there.
local function on_status(_, params)
  local before = status.current.state
  status.on_notification(_, params)
  local buf = api.nvim_get_current_buf()
  local waits = before == 'loading' and status.current.state == 'ready' and api.nvim_get_mode().mode:find('^i')
  if waits and M.of(buf) and not M.presenter().shown(buf) then
    M.presenter().request(buf, lsp.AUTOMATIC)
  end
end

local function settings()
  local given = config.options.settings
  return next(given) and given or vim.empty_dict() -- an empty table would be sent as a list
end

local function client_config()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.textDocument.inlineCompletion = { dynamicRegistration = false }
  capabilities.experimental = { codaStatus = true }
  return {
    name = NAME,
    cmd = config.options.cmd,
    capabilities = capabilities,
    init_options = settings(),
    settings = { coda = settings() },
    handlers = { ['coda/status'] = on_status },
    get_language_id = function(_, filetype)
      return config.language_id(filetype)
    end,
    on_attach = function(client, buf)
      M.presenter().attach(client, buf)
      keymaps.attach(buf)
    end,
    on_exit = vim.schedule_wrap(function()
      status.set(nil)
      if on_stopped then
        local continue = on_stopped
        on_stopped = nil
        continue()
      end
    end),
  }
end

local function wanted(buf)
  return api.nvim_buf_is_loaded(buf)
    and vim.bo[buf].buftype == ''
    and vim.list_contains(config.options.filetypes, vim.bo[buf].filetype)
end

local function start(buf)
  local program = config.options.cmd[1]
  if vim.fn.executable(program) == 0 then
    if not told_missing then
      told_missing = true
      local advice = 'Install it with "pip install coda-lsp", or set the option cmd; see :help coda-install.'
      vim.notify(('CoDA: the program %s is not found. %s'):format(program, advice), vim.log.levels.WARN)
    end
    return
  end
  vim.lsp.start(client_config(), {
    bufnr = buf,
    reuse_client = function(client)
      return client.name == NAME and not lsp.call(client, 'is_stopped')
    end,
  })
end

local function start_everywhere()
  for _, buf in ipairs(api.nvim_list_bufs()) do
    if wanted(buf) then
      start(buf)
    end
  end
end

--- Serve the buffers that are open and those to come.
function M.enable()
  api.nvim_clear_autocmds({ group = group })
  api.nvim_create_autocmd('FileType', {
    group = group,
    callback = function(event)
      if wanted(event.buf) then
        start(event.buf)
      end
    end,
  })
  api.nvim_create_autocmd('LspDetach', {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == NAME then
        M.presenter().detach(event.buf)
        keymaps.detach(event.buf)
      end
    end,
  })
  start_everywhere()
end

--- End the server and its engine, and start them anew with the options as they are now.
function M.restart()
  told_missing = false
  local client = M.current()
  if not client then
    return start_everywhere()
  end
  on_stopped = start_everywhere
  lsp.call(client, 'stop')
  vim.defer_fn(function()
    if vim.lsp.get_client_by_id(client.id) then
      lsp.call(client, 'stop', true)
    end
  end, STOP_TIMEOUT_MS)
end

return M
