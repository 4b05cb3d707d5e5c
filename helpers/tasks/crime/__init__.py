"""Crime reports: 18 entity types, asked for one by one."""
