"""Files as such: opened, checked, fetched and written, whatever they hold."""
