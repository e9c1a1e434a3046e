"""A program that serves with time limits of a second."""
import sys

from apiphant.http import connection
from apiphant.server import serve

connection.HEAD_TIMEOUT = connection.BODY_TIMEOUT = connection.SEND_TIMEOUT = 1.0
serve(sys.argv[1], '127.0.0.1:0')
