"""Real servers on loopback for tests: S3 (Ceph's RGW, else moto), and a proxy that makes any of them fail."""
