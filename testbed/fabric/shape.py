"""What a cable does to packets, one way."""

from testbed.model.shape import DEFAULT_QUEUE as DEFAULT_QUEUE
from testbed.model.shape import LEAST_RATE_BPS as LEAST_RATE_BPS
from testbed.model.shape import LONGEST_DELAY_S as LONGEST_DELAY_S
from testbed.model.shape import LONGEST_JITTER_S as LONGEST_JITTER_S
from testbed.model.shape import MOST_RATE_BPS as MOST_RATE_BPS
from testbed.model.shape import NOTHING as NOTHING
from testbed.model.shape import Shape as Shape
