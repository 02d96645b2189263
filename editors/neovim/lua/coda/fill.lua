--- The commands that edit: :CodaFill, :CodaHoles and :CodaRegenerate. The server has its edit applied in one undo step.
local client = require('coda.client')
local lsp = require('coda.lsp')

local api = vim.api
local M = {}

local FILL_SELECTION, FILL_HOLES, REGENERATE = 'coda.fillSelection', 'coda.fillHoles', 'coda.regenerate'

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

--- The lines from `line1` to `line2`, counted from 1, as a range of the protocol; the selection where it is these lines.
local function range_of(buf, line1, line2, encoding)
  local first = api.nvim_buf_get_lines(buf, line1 - 1, line1, true)[1]
  local last = api.nvim_buf_get_lines(buf, line2 - 1, line2, true)[1]
  local from, to = columns_of_selection(line1, line2)
  return {
    start = { line = line1 - 1, character = character(first, from or 0, encoding) },
    ['end'] = { line = line2 - 1, character = character(last, to or #last, encoding) },
  }
end

--- What the server says in the end: silent where all went well, for the edit is to be seen.
local function tell(report)
  if type(report) == 'table' and report.filled < report.holes then
    local text = 'CoDA: %d of %d holes were filled; for the others the model had nothing useful.'
    vim.notify(text:format(report.filled, report.holes), vim.log.levels.WARN)
  end
end

--- Have the server run one of its commands on the current buffer; raises one sentence where no server serves it.
---@param command string
---@param lines? { [1]: integer, [2]: integer } counted from 1
local function run(command, lines)
  local buf = api.nvim_get_current_buf()
  local server = client.of(buf)
  if not server then
    error('CoDA: no server for this buffer; see :checkhealth coda.', 0)
  end
  local target = {
    uri = vim.uri_from_bufnr(buf),
    version = vim.lsp.util.buf_versions[buf],
    range = lines and range_of(buf, lines[1], lines[2], server.offset_encoding) or nil,
  }
  M.cancel()
  local request_id = lsp.execute(server, command, { target }, function(report)
    live = nil
    tell(report)
  end, buf)
  live = request_id and { client = server, request_id = request_id } or nil
end

--- Rewrite the selection, or the lines from `line1` to `line2`.
---@param line1 integer
---@param line2 integer
function M.selection(line1, line2)
  run(FILL_SELECTION, { line1, line2 })
end

--- Fill the holes of the buffer jointly: bodies that are `...`, TODO and the like; or only those that touch the lines.
---@param lines? { [1]: integer, [2]: integer }
function M.holes(lines)
  run(FILL_HOLES, lines)
end

--- Write anew what was filled last in the buffer.
function M.regenerate()
  run(REGENERATE)
end

--- Give up the fill that runs, if one does.
function M.cancel()
  if live and live.client.requests[live.request_id] then
    lsp.call(live.client, 'cancel_request', live.request_id)
  end
  live = nil
end

return M
