"""Leaving a consumer group as a member with a name of its own.

The client leaves such a member's place open when it closes, so that it finds it again after a restart. One
that does not come back has to say so itself, or the group waits for it until its session times out.
"""

import logging
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as client
from kafka.admin import MemberToRemove

from shared.deadline import Deadline
from shared.kafka.connection import KafkaSettings, client_options, open_client
from shared.kafka.errors import translated

logger = logging.getLogger(__name__)


def leave_group(settings: KafkaSettings, member: Any, deadline: Deadline) -> None:
    """Gives up a member's place in its group, so that the others take over its partitions at once.

    The member is named by its id too: one that has been fenced does not remove its successor.

    Args:
        settings: Where the brokers are.
        member: As `Reader.group_metadata` gives it.
        deadline: When to give up.

    Raises:
        BrokerUnreachableError: No broker answered before the deadline.
        ConfigurationError: The broker does not let this client do so.
        RecoverableError: The group's coordinator is not available; it will miss the member in time.
    """
    admin = open_client(KafkaAdminClient, client_options(settings, role="admin"), settings, deadline)
    try:
        with translated(f"leaving group {member.group_id!r}"):
            left = admin.remove_group_members(
                member.group_id, [MemberToRemove(member.member_id, member.group_instance_id)]
            )
    finally:
        admin.close()
    for error in left.values():
        if error is not client.NoError:
            # Removed for its silence, or succeeded by another: its place is not its own any more.
            logger.info("Group %s had let this member go: %s", member.group_id, error.__name__)
