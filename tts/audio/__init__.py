"""Turn sound into what customers can play: levels, joins and streaming encoders."""
