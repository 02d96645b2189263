--- :CodaStats, the server's counters as lines of text.
local client = require('coda.client')
local lsp = require('coda.lsp')

local M = {}

local STATS = 'coda.stats'

local function share(part, whole)
  return whole > 0 and (' (%.0f%%)'):format(100 * part / whole) or ''
end

local function milliseconds(value)
  return type(value) == 'number' and ('%.0f ms'):format(value) or 'none yet'
end

--- The counters for people, one subject a line.
---@param stats table the answer to coda.stats, see docs/protocol.md
---@return string[]
function M.lines(stats)
  if not stats.enabled then
    return { 'CoDA counts nothing: the setting "counters" is false.' }
  end
  local lines = {
    'CoDA since ' .. stats.since,
    ('requests  %d, %d from the cache'):format(stats.requests, stats.fromCache),
    ('shown     %d'):format(stats.shown),
    ('accepted  %d%s, and a part of %d'):format(
      stats.accepted,
      share(stats.accepted, stats.shown),
      stats.partiallyAccepted
    ),
    ('rejected  %d'):format(stats.rejected),
    ('saved     %d characters'):format(stats.charactersSaved),
    ('latency   p50 %s, p95 %s'):format(milliseconds(stats.latencyMs.p50), milliseconds(stats.latencyMs.p95)),
  }
  for name, count in vim.spairs(stats.filters or {}) do
    table.insert(lines, ('filter    %s %d'):format(name, count))
  end
  return lines
end

--- Show the counters; with `reset` they begin anew from zero.
---@param reset boolean
function M.show(reset)
  local server = client.current()
  if not server then
    error('CoDA: the server does not run; see :checkhealth coda.', 0)
  end
  lsp.execute(server, STATS, reset and { { reset = true } } or {}, function(stats)
    vim.notify(table.concat(M.lines(stats), '\n'))
  end, 0)
end

return M
