"""Reading the web: one page, or what a search engine found. Everything goes through the egress port."""
