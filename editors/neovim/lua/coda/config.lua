--- What the user may set, with its defaults.
local M = {}

---@class coda.Config
---@field cmd string[] the server and its arguments
---@field filetypes string[] where suggestions appear
---@field settings table<string, any> the server's own settings, `coda.*` in its documentation
---@field keymaps table<string, string|false>|false keys in insert mode (`fill`: in visual mode); false leaves one out
---@field native boolean use vim.lsp.inline_completion where Neovim has it
local DEFAULTS = {
  cmd = { 'coda-lsp', '--stdio' },
  filetypes = {
    'bash',
    'c',
    'cpp',
    'cs',
    'css',
    'go',
    'html',
    'java',
    'javascript',
    'javascriptreact',
    'json',
    'jsonc',
    'php',
    'python',
    'ruby',
    'rust',
    'sh',
    'typescript',
    'typescriptreact',
  },
  settings = {},
  keymaps = {
    accept = '<Tab>',
    accept_word = '<M-w>',
    accept_line = '<M-l>',
    next = '<M-n>',
    previous = '<M-p>',
    dismiss = '<C-]>',
    trigger = '<M-\\>',
    fill = false,
  },
  native = true,
}

-- Where Neovim's file type is not the language id of the protocol.
local LANGUAGE_IDS = { cs = 'csharp', sh = 'shellscript', bash = 'shellscript' }

---@type coda.Config
M.options = vim.deepcopy(DEFAULTS)

--- Take over the user's options; raises one sentence where they are wrong.
---@param given? table
function M.set(given)
  given = given or {}
  if type(given) ~= 'table' then
    error('coda: setup takes a table of options.', 0)
  end
  for name, value in pairs(given) do
    local default = DEFAULTS[name]
    if default == nil then
      error(('coda: there is no option %q.'):format(name), 0)
    end
    local off = name == 'keymaps' and value == false
    if type(value) ~= type(default) and not off then
      error(('coda: the option %s must be a %s, not a %s.'):format(name, type(default), type(value)), 0)
    end
  end
  for name, keys in pairs(given.keymaps or {}) do
    if DEFAULTS.keymaps[name] == nil then
      error(('coda: there is no key map %q.'):format(name), 0)
    end
    if type(keys) ~= 'string' and keys ~= false then
      error(('coda: the key map %s must be a string, or false.'):format(name), 0)
    end
  end
  local options = vim.tbl_deep_extend('force', vim.deepcopy(DEFAULTS), given)
  options.cmd = given.cmd or options.cmd -- lists are replaced, not merged
  options.filetypes = given.filetypes or options.filetypes
  if type(options.cmd[1]) ~= 'string' then
    error('coda: the option cmd must be a list that begins with a program.', 0)
  end
  M.options = options
end

---@param filetype string
---@return string
function M.language_id(filetype)
  return LANGUAGE_IDS[filetype] or filetype
end

return M
