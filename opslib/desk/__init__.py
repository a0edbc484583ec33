"""What a person in JupyterLab is given to press. Headless, only `presence` of it is loaded."""
