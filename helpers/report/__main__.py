from helpers.report.pages import main

main()
