"""HTML for people who must see it: contact sheets, before/after pages, identity charts."""
