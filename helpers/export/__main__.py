from helpers.command import start
from helpers.export.folders import main

start(main)
