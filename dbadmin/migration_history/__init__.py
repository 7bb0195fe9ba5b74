"""What ran in which database: read from the tools' tables and the projects' folders, and remembered."""
