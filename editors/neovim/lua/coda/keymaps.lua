--- Keys in insert mode that do their work only while a suggestion is shown, and else what they did before.
local config = require('coda.config')

local api = vim.api
local M = {}

---@type table<integer, table<string, vim.api.keyset.get_keymap|false>> by buffer and key: what was mapped there before
local before = {}

local function keycodes(text)
  return api.nvim_replace_termcodes(text, true, true, true)
end

local function mapping_in(mappings, keys)
  local raw = keycodes(keys)
  for _, mapping in ipairs(mappings) do
    if mapping.lhsraw == raw or mapping.lhsrawalt == raw then
      return mapping
    end
  end
end

--- Do what the key would do without us; what is returned is typed, without mappings.
local function fall_through(buf, keys)
  local mapping = before[buf][keys] or mapping_in(api.nvim_get_keymap('i'), keys)
  if not mapping then
    return keycodes(keys)
  end
  local typed
  if mapping.expr == 1 then
    typed = mapping.callback and mapping.callback() or not mapping.callback and api.nvim_eval(mapping.rhs) or ''
    typed = mapping.replace_keycodes == 1 and keycodes(typed) or typed
  elseif mapping.callback then
    vim.schedule(mapping.callback) -- an expression mapping must not change text
    return ''
  else
    typed = keycodes(mapping.rhs)
  end
  api.nvim_feedkeys(typed, mapping.noremap == 1 and 'in' or 'im', false)
  return ''
end

local function map(buf, action, keys)
  if action == 'fill' then
    vim.keymap.set('x', keys, ':CodaFill<CR>', { buffer = buf, silent = true, desc = 'CoDA: fill the selection' })
    return
  end
  before[buf][keys] = mapping_in(api.nvim_buf_get_keymap(buf, 'i'), keys) or false
  vim.keymap.set('i', keys, function()
    local coda = require('coda')
    if action ~= 'trigger' and not coda.shown() then
      return fall_through(buf, keys)
    end
    return keycodes(('<Cmd>lua require("coda").%s()<CR>'):format(action))
  end, { buffer = buf, expr = true, replace_keycodes = false, desc = 'CoDA: ' .. action:gsub('_', ' ') })
end

---@param buf integer
function M.attach(buf)
  M.detach(buf)
  before[buf] = {}
  for action, keys in pairs(config.options.keymaps or {}) do
    if keys then
      map(buf, action, keys)
    end
  end
end

--- Take the keys back.
---@param buf integer
function M.detach(buf)
  for keys, mapping in pairs(before[buf] or {}) do
    pcall(vim.keymap.del, 'i', keys, { buffer = buf })
    if mapping then
      api.nvim_buf_call(buf, function()
        vim.fn.mapset('i', false, mapping)
      end)
    end
  end
  before[buf] = nil
end

return M
