"""Whose turn it is: backlogs where the order of arrival is not the right order."""
