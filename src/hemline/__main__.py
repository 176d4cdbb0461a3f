import sys

from hemline.cli import main

sys.exit(main())
