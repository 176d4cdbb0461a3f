"""The parts of `hemline.data.check`: looking, remembering, comparing, finding and telling."""
