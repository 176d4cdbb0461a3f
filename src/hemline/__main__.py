from hemline.cli import run

run()
