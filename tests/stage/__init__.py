"""The stages on which tests play: time, workers, triggerers, sensors, and how processes die."""
