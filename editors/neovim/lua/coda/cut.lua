--- How much of a suggestion is accepted: all of it, its next word, or its next line.
local M = {}

---@param text string
---@return string
function M.all(text)
  return text
end

--- The blanks at the start and what follows them: a word, or a run of punctuation.
---@param text string
---@return string
function M.word(text)
  return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w_%s\128-\255]+') or text
end

--- Up to the end of the line; the whole next line where the cursor is at the end of its own.
---@param text string
---@return string
function M.line(text)
  return assert(text:match('^\n?[^\n]*'))
end

return M
