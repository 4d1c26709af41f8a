"""SuperOffice, simulated: batch tasks over REST, and the login host of SuperOffice Online."""
