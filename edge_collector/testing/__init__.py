"""A venue without hardware: a virtual radio under the real `bleak`, virtual devices on it, and a virtual clock.

For whoever tests a gateway, in this repository or elsewhere:

    from edge_collector.testing.clock import VirtualClock
    from edge_collector.testing.devices import PairSensor
    from edge_collector.testing.radio import virtual_radio
    from edge_collector.testing.record_devices import Terminal

    async def test_a_visitor_is_counted() -> None:
        with virtual_radio() as radio:
            sensor = PairSensor(radio, "C0:00:00:00:00:01")
            terminal = Terminal(radio, "C0:00:00:00:00:02")
            await terminal.switch_on()
            ...  # start whatever scans and connects with bleak
            sensor.walk_in()
            sensor.advertise()
            terminal.recognise("M-1", "enter")

The radio and what is on it need `bumble` (`pip install 'venue-assets[testing]'`); the clock does not.
What does not belong here: anything that a gateway runs.
"""
