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
  'CodaRestart',
  command(function()
    require('coda').restart()
  end),
  { desc = 'Start the server and its model anew' }
)
