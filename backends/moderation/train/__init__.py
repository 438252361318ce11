"""Training the content-classifier: data by source, synthetic variety, augmentation, fitting, report, export."""
