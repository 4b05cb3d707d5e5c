from helpers.command import start
from helpers.serve.server import main

start(main)
