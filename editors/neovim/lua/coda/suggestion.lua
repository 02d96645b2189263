--- What the server suggested for a span of a buffer, and what is left of it as the user types on.
local api = vim.api

local namespace = api.nvim_create_namespace('coda.span')

---@class coda.Suggestion
---@field buf integer
---@field items table[] LSP inline completion items with the same range, line ends as Neovim has them
---@field private mark integer an extmark over the span that the items replace; it grows with what is typed there
---@field private tail string what stood between the cursor and the end of the span
local Suggestion = {}
Suggestion.__index = Suggestion

--- The byte column, from 0, of a position in the encoding that was agreed on with the server.
local function byte_column(line, character, encoding)
  if encoding == 'utf-8' then
    return math.min(character, #line)
  elseif vim.fn.has('nvim-0.11') == 1 then
    return vim.str_byteindex(line, encoding, character, false)
  end
  local inside, column = pcall(vim.str_byteindex, line, character, encoding == 'utf-16')
  return inside and column or #line
end

--- Row and byte column, from 0; a place after the last line is that line's end.
local function place_of(buf, position, encoding)
  local last = api.nvim_buf_line_count(buf) - 1
  local row = math.min(position.line, last)
  local line = api.nvim_buf_get_lines(buf, row, row + 1, true)[1]
  return row, position.line > last and #line or byte_column(line, position.character, encoding)
end

local function text_between(buf, row, col, end_row, end_col)
  return table.concat(api.nvim_buf_get_text(buf, row, col, end_row, end_col, {}), '\n')
end

--- Row and byte column of the cursor, from 0, in the window that shows the buffer.
local function cursor_of(buf)
  local win = api.nvim_get_current_win()
  win = api.nvim_win_get_buf(win) == buf and win or vim.fn.bufwinid(buf)
  local cursor = api.nvim_win_get_cursor(win)
  return cursor[1] - 1, cursor[2], win
end

--- Does `text` hold the characters in this order?
local function holds_in_order(text, characters)
  local from = 1
  for character in characters:gmatch('.') do
    from = text:find(character, from, true)
    if not from then
      return false
    end
    from = from + 1
  end
  return true
end

--- Read an answer to textDocument/inlineCompletion that was made for the buffer as it is now; nil for an empty one.
---@param buf integer
---@param result table|nil
---@param encoding string
---@return coda.Suggestion?
function Suggestion.new(buf, result, encoding)
  local items = {}
  for _, item in ipairs(result and (result.items or result) or {}) do
    local same_range = #items == 0 or vim.deep_equal(item.range, items[1].range)
    if type(item.insertText) == 'string' and item.range and same_range then
      local text = item.insertText:gsub('\r\n?', '\n')
      table.insert(items, { insertText = text, range = item.range, command = item.command })
    end
  end
  if #items == 0 then
    return nil
  end
  local self = setmetatable({ buf = buf, items = items }, Suggestion)
  local row, col = place_of(buf, items[1].range.start, encoding)
  local end_row, end_col = place_of(buf, items[1].range['end'], encoding)
  api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  self.mark = api.nvim_buf_set_extmark(buf, namespace, row, col, {
    end_row = end_row,
    end_col = end_col,
    right_gravity = false,
    end_right_gravity = true,
  })
  local cursor_row, cursor_col = cursor_of(buf)
  if not self:holds(cursor_row, cursor_col) then
    return nil
  end
  self.tail = text_between(buf, cursor_row, cursor_col, end_row, end_col)
  return self
end

---@private
function Suggestion:span()
  local mark = api.nvim_buf_get_extmark_by_id(self.buf, namespace, self.mark, { details = true })
  if not mark[3] then
    return nil -- a newer suggestion has taken its place
  end
  return mark[1], mark[2], mark[3].end_row, mark[3].end_col
end

---@private
function Suggestion:holds(cursor_row, cursor_col)
  local row, col, end_row, end_col = self:span()
  local after_start = row and (cursor_row > row or cursor_row == row and cursor_col >= col)
  return after_start and (cursor_row < end_row or cursor_row == end_row and cursor_col <= end_col)
end

--- What an item would still add at the cursor, and the text there that it would replace.
--- Nil where what was typed does not agree with it.
---@param index integer
---@return string? rest
---@return string? replaced
function Suggestion:rest(index)
  local cursor_row, cursor_col = cursor_of(self.buf)
  local item = self.items[index]
  if not item or not self:holds(cursor_row, cursor_col) then
    return nil
  end
  local row, col, end_row, end_col = self:span()
  local typed = text_between(self.buf, row, col, cursor_row, cursor_col)
  local text = item.insertText
  if not vim.startswith(text, typed) or #text == #typed then
    return nil
  end
  local rest = text:sub(#typed + 1)
  local replaced = text_between(self.buf, cursor_row, cursor_col, end_row, end_col)
  -- More stands after the cursor than before: brackets that close by themselves, which the rest must have too.
  if not vim.endswith(replaced, self.tail) or not holds_in_order(rest, replaced:sub(1, #replaced - #self.tail)) then
    return nil
  end
  return rest, replaced
end

--- Put a piece of an item at the cursor, as an undo step of its own; the last piece replaces the rest of the span.
---@param index integer
---@param cut fun(rest: string): string
---@return boolean whole nothing of the item is left
---@return integer accepted characters of the item that are in the buffer now
function Suggestion:accept(index, cut)
  local rest = self:rest(index)
  if not rest then
    return true, 0
  end
  local row, col, win = cursor_of(self.buf)
  local _, _, end_row, end_col = self:span()
  local piece = cut(rest)
  local whole = #piece == #rest
  if not whole then
    end_row, end_col = row, col
  end
  local lines = vim.split(piece, '\n', { plain = true })
  vim.go.undolevels = vim.go.undolevels -- ends the undo step of what was typed before
  api.nvim_buf_set_text(self.buf, row, col, end_row, end_col, lines)
  api.nvim_win_set_cursor(win, { row + #lines, (#lines == 1 and col or 0) + #lines[#lines] })
  local text = self.items[index].insertText
  return whole, vim.fn.strchars(text:sub(1, #text - #rest + #piece))
end

return Suggestion
