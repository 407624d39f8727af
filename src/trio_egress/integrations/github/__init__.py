"""The GitHub Action's own program, which `action.yml` starts once the package is installed."""
