--- What the server last said of itself (the notification coda/status).
local M = {}

---@class coda.Status
---@field state 'stopped'|'loading'|'ready'|'busy'|'error'|'off'
---@field message string
---@field model? string
---@field device? string

local STOPPED = { state = 'stopped', message = 'The server does not run.' }

---@type coda.Status
M.current = STOPPED

---@param status? coda.Status nil where the server has ended
function M.set(status)
  M.current = status or STOPPED
  vim.api.nvim_exec_autocmds('User', { pattern = 'CodaStatus', modeline = false, data = M.current })
  vim.cmd.redrawstatus()
end

--- The handler of the notification.
---@param params coda.Status
function M.on_notification(_, params)
  local known = {}
  for name, value in pairs(params) do
    known[name] = value ~= vim.NIL and value or nil
  end
  M.set(known)
end

--- One line for people.
---@return string
function M.line()
  local status = M.current
  local parts = { 'CoDA: ' .. status.state }
  if status.model then
    table.insert(parts, ('%s on %s'):format(status.model, status.device or 'an unknown device'))
  end
  if status.message ~= '' then
    table.insert(parts, status.message)
  end
  return table.concat(parts, ', ')
end

return M
