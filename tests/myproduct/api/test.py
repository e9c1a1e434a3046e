"""Functional tests of this API, against the server on port 8888. quick-test.sh runs them against one of its own."""
from apiphant.test import test

test('echo', 'read', {"hello": "world"}, 200, {"hello": "world", "server": "myproduct"})
test('echo', 'read', "not an object", 400, {"error": "Request content should be JSON Object"})
test('echo', 'delete', {}, 404, {"error": "404 Not Found"})

test('health', 'read', {}, 200, {"status": "ok", "release": ""})
