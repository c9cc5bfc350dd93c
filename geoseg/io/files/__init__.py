"""Files of any content: opening, identification, download and atomic writing."""
