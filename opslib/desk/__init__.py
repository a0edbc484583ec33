"""What a person in JupyterLab is given to press. Headless, nothing of it is loaded."""
