from device_agents import telemetry


def write(root, path, text):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def test_reads_what_a_board_tells(tmp_path):
    write(tmp_path, "proc/loadavg", "0.50 0.40 0.30 1/100 5\n")
    write(tmp_path, "proc/stat", "cpu  10 1 5 80 4 0 0 2 0 0\ncpu0 1 1 1 1\n")
    write(tmp_path, "proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable:    2048000 kB\n")
    for cpu, mhz in ((0, 1800), (1, 2400)):
        base = f"sys/devices/system/cpu/cpu{cpu}/"
        write(tmp_path, base + "cpufreq/scaling_governor", "powersave\n")
        write(tmp_path, base + "cpufreq/scaling_cur_freq", f"{mhz}000\n")
        write(tmp_path, base + "cpufreq/cpuinfo_max_freq", "3000000\n")
        write(tmp_path, base + "thermal_throttle/core_throttle_count", "3\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61500\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "not now\n")
    readings = telemetry.read(str(tmp_path))
    assert readings.pop("time_s") > 0
    assert readings == {
        "load_1min": 0.5,
        "busy_ticks": 18,
        "total_ticks": 102,
        "steal_ticks": 2,
        "memory_free_mb": 2000,
        "governors": ["powersave"],
        "frequency_mhz": [1800, 2400],
        "frequency_max_mhz": [3000, 3000],
        "temperature_c": 61.5,
        "throttle_count": 6,
    }


def test_nothing_told_is_nothing_said(tmp_path):
    assert set(telemetry.read(str(tmp_path))) == {"time_s"}


def test_half_written_files_are_left_out(tmp_path):
    write(tmp_path, "proc/loadavg", "")
    write(tmp_path, "proc/stat", "cpu 1\n")
    write(tmp_path, "proc/meminfo", "MemAvailable: much kB\n")
    assert set(telemetry.read(str(tmp_path))) == {"time_s"}


def test_chip_of_a_processor_and_of_a_board(tmp_path):
    assert telemetry.chip(str(tmp_path)) == ""
    write(tmp_path, "proc/device-tree/model", "Atlas 200 DK\0")
    write(tmp_path, "proc/cpuinfo", "processor : 0\nmodel name : Fast: 3000\n")
    assert telemetry.chip(str(tmp_path)) == "Fast: 3000"
    write(tmp_path, "proc/cpuinfo", "processor : 0\n")
    assert telemetry.chip(str(tmp_path)) == "Atlas 200 DK"
