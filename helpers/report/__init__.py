"""The HTML report and its templates. Imports all but the pipeline."""
