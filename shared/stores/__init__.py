"""Object stores, through pyarrow's file systems: s3://, gs:// and abfs://."""
