"""Set-up, runner, stages and the execution of notebooks. Imports everything."""
