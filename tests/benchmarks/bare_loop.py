"""The least Python that transcodes a clip: what `streaming.py` holds vidref against.

`python tests/benchmarks/bare_loop.py SOURCE OUTPUT [KEY=VALUE ...]`: decode, encode with libx264
and these options, copy the sound. It knows nothing of vidref.
"""

import sys

import av


def transcode(source: str, output: str, options: dict[str, str]) -> None:
    with av.open(source) as reading, av.open(output, "w") as writing:
        picture = reading.streams.video[0]
        picture.thread_type = "AUTO"
        video = writing.add_stream("libx264", rate=picture.average_rate, options=options)
        video.width, video.height, video.pix_fmt = picture.width, picture.height, picture.pix_fmt
        video.codec_context.time_base = picture.time_base
        copies = {s.index: writing.add_stream_from_template(s) for s in reading.streams.audio}
        for packet in reading.demux():
            if packet.stream is picture:
                for frame in packet.decode():
                    frame.pict_type = 0
                    writing.mux(video.encode(frame))
            elif packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                writing.mux(packet)
        writing.mux(video.encode(None))


if __name__ == "__main__":
    transcode(sys.argv[1], sys.argv[2], dict(pair.split("=", 1) for pair in sys.argv[3:]))
