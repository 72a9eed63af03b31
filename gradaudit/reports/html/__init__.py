"""The report as one page of HTML. Only `page` is called from outside."""
