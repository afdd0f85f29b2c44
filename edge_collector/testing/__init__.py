"""A venue without hardware: a virtual radio under the real `bleak`, virtual devices on it, and a virtual clock.

For whoever tests a gateway, in this repository or elsewhere:

    import asyncio

    from edge_collector.readings import Totals, Visit
    from edge_collector.sources.ble import Advertiser, BleScanner
    from edge_collector.sources.ble_records import RecordClient
    from edge_collector.testing.clock import VirtualClock
    from edge_collector.testing.devices import PairSensor
    from edge_collector.testing.radio import virtual_radio
    from edge_collector.testing.record_devices import Terminal

    DOOR, DESK = "C0:00:00:00:00:01", "C0:00:00:00:00:02"

    def test_a_visitor_is_heard() -> None:
        readings = []

        async def keep(given) -> None:
            readings.extend(given)

        async def evening() -> None:
            clock = VirtualClock()
            with virtual_radio() as radio:
                sensor, terminal = PairSensor(radio, DOOR), Terminal(radio, DESK)
                await terminal.switch_on()
                scanner = BleScanner({DOOR: Advertiser()}, keep, clock)
                client = RecordClient(DESK, keep, lambda address: None, clock)
                gateway = [asyncio.create_task(part.run()) for part in (scanner, client)]
                while not radio.adapter().scanning:
                    await asyncio.sleep(0)
                sensor.walk_in()
                sensor.advertise()
                terminal.recognise("M-1", "enter")
                while terminal.kept:  # until it has been told that its record is kept
                    await clock.advance(1)
                for task in gateway:
                    task.cancel()

        asyncio.run(evening())
        assert {type(reading) for reading in readings} == {Totals, Visit}

The radio and what is on it need `bumble` (`pip install 'venue-assets[testing]'`); the clock does not.
What does not belong here: anything that a gateway runs.
"""
