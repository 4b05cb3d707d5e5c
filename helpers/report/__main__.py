from helpers.command import start
from helpers.report.pages import main

start(main)
