def read(request):
    """The request itself, and who answers."""
    response = request.copy()
    response.server = 'myproduct'
    return response
