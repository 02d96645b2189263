--- :checkhealth coda
local M = {}

local VERSION_TIMEOUT_MS = 10000

local function check_neovim(presenter)
  local version = tostring(vim.version())
  if vim.fn.has('nvim-0.10') == 0 then
    vim.health.error(('Neovim %s is too old.'):format(version), 'Install 0.10 or newer.')
    return false
  end
  vim.health.ok(('Neovim %s; suggestions are shown by %s.'):format(version, presenter().name))
  return true
end

local function check_program(cmd)
  if vim.fn.executable(cmd[1]) == 0 then
    vim.health.error(('The program %s is not found.'):format(cmd[1]), {
      'Install it: pip install coda-lsp',
      'Or say where it is: require("coda").setup { cmd = { "/path/to/coda-lsp", "--stdio" } }',
    })
    return
  end
  local result = vim.system({ cmd[1], '--version' }, { text = true, timeout = VERSION_TIMEOUT_MS }):wait()
  if result.code == 0 then
    vim.health.ok(('%s: %s'):format(vim.fn.exepath(cmd[1]), vim.trim(result.stdout)))
  else
    vim.health.error(('%s --version failed: %s'):format(cmd[1], vim.trim(result.stderr or '')))
  end
end

local function check_server(client, status)
  local server = client.current()
  if not server then
    vim.health.warn('The server does not run.', 'Open a file of one of the types below; see also :messages.')
    return
  end
  vim.health.info(('It serves %d buffers.'):format(vim.tbl_count(server.attached_buffers)))
  if status.current.state == 'error' or status.current.state == 'stopped' then
    vim.health.error(status.line(), 'When that is mended, run :CodaRestart; "coda-lsp doctor" examines the rest.')
  else
    vim.health.ok(status.line())
  end
end

local function check_options(options)
  vim.health.info('File types: ' .. table.concat(options.filetypes, ', '))
  vim.health.info('Settings: ' .. vim.inspect(options.settings, { newline = ' ', indent = '' }))
  local maps = {}
  for action, keys in vim.spairs(options.keymaps or {}) do
    table.insert(maps, ('%s %s'):format(action, keys or 'none'))
  end
  vim.health.info('Keys: ' .. (#maps > 0 and table.concat(maps, ', ') or 'none'))
end

function M.check()
  local client = require('coda.client')
  local options = require('coda.config').options
  vim.health.start('coda')
  if check_neovim(client.presenter) then
    check_program(options.cmd)
    check_server(client, require('coda.status'))
    check_options(options)
  end
end

return M
