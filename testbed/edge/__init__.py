"""What brings outside clients in: addresses of load balancers, who answers for them, ingress. Pure: values in,
values and text out; `lab` acts.
"""
