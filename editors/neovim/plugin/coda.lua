if vim.g.loaded_coda then
  return
end
vim.g.loaded_coda = true

--- Run a function; what it raises is shown as one line.
local function command(run)
  return function(arguments)
    local fine, message = pcall(run, arguments)
    if not fine then
      vim.notify(tostring(message), vim.log.levels.ERROR)
    end
  end
end

vim.api.nvim_create_user_command(
  'CodaFill',
  command(function(arguments)
    if arguments.range == 0 then
      error('CoDA: select what to fill first.', 0)
    end
    require('coda.fill').selection(arguments.line1, arguments.line2)
  end),
  { range = true, desc = 'Rewrite the selection from both sides' }
)

vim.api.nvim_create_user_command(
  'CodaHoles',
  command(function(arguments)
    local lines = arguments.range > 0 and { arguments.line1, arguments.line2 } or nil
    require('coda.fill').holes(lines)
  end),
  { range = true, desc = 'Fill the holes of this file, or of a range, jointly' }
)

vim.api.nvim_create_user_command(
  'CodaRegenerate',
  command(function()
    require('coda.fill').regenerate()
  end),
  { desc = 'Write anew what was filled last' }
)

vim.api.nvim_create_user_command(
  'CodaCancel',
  command(function()
    require('coda.fill').cancel()
  end),
  { desc = 'Give up the fill that runs' }
)

vim.api.nvim_create_user_command(
  'CodaStatus',
  command(function()
    require('coda').show_status()
  end),
  { desc = 'How the server is, and why nothing was shown' }
)

vim.api.nvim_create_user_command(
  'CodaStats',
  command(function(arguments)
    require('coda.stats').show(arguments.bang)
  end),
  { bang = true, desc = 'What was shown and accepted; with ! the counters begin anew' }
)

vim.api.nvim_create_user_command(
  'CodaRestart',
  command(function()
    require('coda').restart()
  end),
  { desc = 'Start the server and its model anew' }
)
