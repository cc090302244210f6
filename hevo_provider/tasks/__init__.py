"""What the operators and the sensor share. Nothing is imported here: DAG files load these modules one by one."""
