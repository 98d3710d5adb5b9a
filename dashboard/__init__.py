"""What people see of Basin: pages and live routes; never imports torch."""
