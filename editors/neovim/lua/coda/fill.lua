--- :CodaFill, which rewrites the selection from both sides.
local client = require('coda.client')
local lsp = require('coda.lsp')

local api = vim.api
local M = {}

local COMMAND = 'coda.fillSelection'

local live = nil ---@type { client: vim.lsp.Client, request_id: integer }?

--- Byte columns of the last visual selection where the command was given for it; nil for whole lines.
local function columns_of_selection(line1, line2)
  local mode = vim.fn.visualmode()
  local from, to = api.nvim_buf_get_mark(0, '<'), api.nvim_buf_get_mark(0, '>')
  if mode == '' or mode == 'V' or from[1] ~= line1 or to[1] ~= line2 then
    return nil
  end
  if mode ~= 'v' then
    error('CoDA: a block of columns can not be filled; select characters or lines.', 0)
  end
  local line = api.nvim_buf_get_lines(0, line2 - 1, line2, true)[1]
  if vim.o.selection == 'exclusive' then
    return from[2], math.min(to[2], #line)
  end
  local last = vim.fn.strpart(line, to[2], 1, true) -- one character, however many bytes it has
  return from[2], math.min(to[2] + #last, #line)
end

local function character(line, column, encoding)
  if encoding == 'utf-8' then
    return column
  elseif vim.fn.has('nvim-0.11') == 1 then
    return vim.str_utfindex(line, encoding, column, false)
  end
  local utf32, utf16 = vim.str_utfindex(line, column)
  return encoding == 'utf-16' and utf16 or utf32
end

--- Rewrite the selection, or the lines from `line1` to `line2` (counted from 1).
--- Raises one sentence where that can't be.
---@param line1 integer
---@param line2 integer
function M.selection(line1, line2)
  local buf = api.nvim_get_current_buf()
  local server = client.of(buf)
  if not server then
    error('CoDA: no server for this buffer; see :checkhealth coda.', 0)
  end
  local first = api.nvim_buf_get_lines(buf, line1 - 1, line1, true)[1]
  local last = api.nvim_buf_get_lines(buf, line2 - 1, line2, true)[1]
  local from, to = columns_of_selection(line1, line2)
  local encoding = server.offset_encoding
  local target = {
    uri = vim.uri_from_bufnr(buf),
    version = vim.lsp.util.buf_versions[buf],
    range = {
      start = { line = line1 - 1, character = character(first, from or 0, encoding) },
      ['end'] = { line = line2 - 1, character = character(last, to or #last, encoding) },
    },
  }
  M.cancel()
  -- The server has the edit applied while the request runs.
  local request_id = lsp.execute(server, COMMAND, { target }, function()
    live = nil
  end, buf)
  live = request_id and { client = server, request_id = request_id } or nil
end

--- Give up the fill that runs, if one does.
function M.cancel()
  if live and live.client.requests[live.request_id] then
    lsp.call(live.client, 'cancel_request', live.request_id)
  end
  live = nil
end

return M
